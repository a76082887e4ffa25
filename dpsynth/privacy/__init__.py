"""The privacy core: the guarantee, the acts and their prices, the noise, the sealed rows, the one door."""
