"""The handlers of requests, one file for each kind of question."""
