"""`make up` and `make demo`: all parts of the service on one machine, watched together."""
