"""Kubernetes resources, a file for each family: Ingress, Gateway API, Istio, and what hangs on them."""
