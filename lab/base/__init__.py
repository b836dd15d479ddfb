"""What every part stands on: errors, files, params, records, git, DVC."""
