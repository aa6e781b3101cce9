"""Cloud Storage for the embedded Vertex AI: buckets and objects on disk, and Google's JSON API in front of them."""
