"""Triton kernels, for CUDA. Importing one of these modules imports Triton."""
