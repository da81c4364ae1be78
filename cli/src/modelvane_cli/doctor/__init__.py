"""`modelvane doctor`: facts are gathered, then judged, so that every judgement can be tested without a cluster."""
