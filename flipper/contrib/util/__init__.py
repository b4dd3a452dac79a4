# SPDX-License-Identifier: Apache-2.0
"""`date` returns the creation date of flags, and `iter` divides lists into batches."""
