"""Which figures a run gets, with words for those who cannot see them."""
