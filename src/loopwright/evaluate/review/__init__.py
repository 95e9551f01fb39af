"""The judge: a second opinion on a proposal that passed everything else, given without the maker's words, its errors measured."""
