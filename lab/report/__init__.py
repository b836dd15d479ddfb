"""Evidence of two revisions, the judgement of it, and the page that shows both."""
