"""An app whose migrations want strong locks on a table that the service uses."""
