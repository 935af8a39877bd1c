"""The prediction server: a SavedModel behind HTTP, as Vertex AI asks for it."""
