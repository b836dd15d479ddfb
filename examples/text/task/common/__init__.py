"""What several networks share, and `augmentations`: an edit here trains every model anew."""
