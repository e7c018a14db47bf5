"""The first layer: attempts on the wire, and the policy that decides about the next one."""
