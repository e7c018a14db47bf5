"""Jobs: a small service before a slow endpoint. A submit answers at once; the image comes later.

The caller polls, reads a stream, or gets a webhook.
An accepted job survives any death of the service, and no job is paid twice.
"""
