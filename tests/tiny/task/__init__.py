"""The task of the tests, in place of the one that is in use: small, and made of nothing."""
