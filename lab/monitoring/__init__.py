"""What a service recorded, held against the reference that stage `export` stored."""
