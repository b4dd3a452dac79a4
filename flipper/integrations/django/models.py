# SPDX-License-Identifier: Apache-2.0
"""The table in which `DjangoFeatureFlagStore` keeps flags."""

from __future__ import annotations

from typing import ClassVar, Final

from django.db import models

TABLE: Final = "flipper_flag"


class Flag(models.Model):
    """One flag. The store writes the rows; no other code should.

    Databases compare texts in different ways, and some take `a` and `A` for the same.
    Therefore the key is a digest of the name.
    """

    key = models.CharField(primary_key=True, max_length=64, editable=False)
    feature_name = models.TextField("name", editable=False)
    document = models.TextField(editable=False)
    revision = models.CharField(max_length=32, editable=False)

    class Meta:
        """What Django has to know of the table."""

        app_label = "flipper"
        db_table = TABLE
        ordering: ClassVar[list[str]] = ["feature_name", "key"]
        verbose_name = "feature flag"

    def __str__(self) -> str:
        return self.feature_name
