"""Material of other people: spans of any service and logs of any gateway, read and put together."""
