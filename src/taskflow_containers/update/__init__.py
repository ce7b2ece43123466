"""`invoke update`: what a newer version of the template brings, merged with what the project's owner changed.

Copier renders the version that the project has and the newer one, each into a folder of its own; what
becomes of every file is planned from the three texts and told, or written, as a whole.
"""
