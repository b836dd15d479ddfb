"""How it is learned, compared, kept and shown: README.md beside this file names every module."""
