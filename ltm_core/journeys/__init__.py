"""The journeys, step by step: these modules alone know the order of the steps."""
