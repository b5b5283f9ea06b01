"""What makes a memory fit any callable: finding the prompt, the person and the answer in calls nobody foresaw."""
