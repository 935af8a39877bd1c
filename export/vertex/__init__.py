"""Jobs on Vertex AI: their specifications, sending and watching them, trials of a grid."""
