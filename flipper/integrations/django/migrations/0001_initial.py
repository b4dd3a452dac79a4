# SPDX-License-Identifier: Apache-2.0
"""Makes the table of flags."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """The first version."""

    initial = True
    dependencies: ClassVar[list[tuple[str, str]]] = []
    operations: ClassVar[list[migrations.operations.base.Operation]] = [
        migrations.CreateModel(
            name="Flag",
            fields=[
                (
                    "key",
                    models.CharField(
                        editable=False,
                        max_length=64,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "feature_name",
                    models.TextField(editable=False, verbose_name="name"),
                ),
                ("document", models.TextField(editable=False)),
                ("revision", models.CharField(editable=False, max_length=32)),
            ],
            options={
                "verbose_name": "feature flag",
                "db_table": "flipper_flag",
                "ordering": ["feature_name", "key"],
            },
        ),
    ]
