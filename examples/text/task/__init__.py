"""What is learned: the code that a fork changes."""
