"""What is learned: kinds of images. The code that a fork changes."""
