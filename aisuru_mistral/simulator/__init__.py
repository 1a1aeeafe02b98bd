"""A little Mistral on loopback for tests, the demo and benchmarks; refuses to be anything else.

It keeps nothing on disk, imports no framework in its application and knows nothing of tenants.
README.md beside this file is the reference of its keys, headers and control paths.
"""
