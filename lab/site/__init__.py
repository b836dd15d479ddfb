"""The documents as a site: laid out for zensical, built, held against dead links, shown."""
