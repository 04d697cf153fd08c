"""What every server of ours has in common on the wire: errors, ids of requests and reading, in OpenAI's form."""
