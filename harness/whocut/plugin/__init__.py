"""What the pytest plugin is made of; imported only by a test that asks for it."""
