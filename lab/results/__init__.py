"""What stages write and reports read: its schema, its files, what it cost."""
