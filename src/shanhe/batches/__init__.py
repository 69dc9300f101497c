"""Work that may wait: files of requests, answered in the valleys of the day at a price for that; results are files.

The OpenAI protocol's `/v1/files` and `/v1/batches`. Each line is a call of the gateway's own pipeline: admitted,
settled and receipted once, whatever crashes. Lines run where an engine has slots that people don't need.
"""
