"""What SQL databases share: tables, filters, statements, writing in groups, and the verbs of the seam."""
