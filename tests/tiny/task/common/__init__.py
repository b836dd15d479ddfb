"""What several networks share: nothing yet."""
