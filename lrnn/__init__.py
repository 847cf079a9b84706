"""Low-rank recurrent neural networks: theory, embedding, training and measurement."""
