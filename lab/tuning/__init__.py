"""A search for better params, and the fair trial of what it found."""
