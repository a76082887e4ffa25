"""What leaves the house: the model, the noisy measurements, the statement; saved, loaded and verified."""
