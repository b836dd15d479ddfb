"""What is learned: classes of the rows of a table."""
