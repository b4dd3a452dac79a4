// SPDX-License-Identifier: Apache-2.0
//
// The feature flag store as a service: what ThriftRPCFeatureFlagStore asks and what a
// server of any language answers. `make thrift` makes the Python package flipper_thrift
// of it.
//
// Field numbers, types and method names are those of flipper-client: old clients and
// old servers understand new ones. Fields may be added, never renumbered or retyped.

namespace java com.carta.flipper

/** Any value, as a JSON document. */
typedef string JSON

enum ErrorCode {
  /** The flag does not exist. */
  NOT_FOUND = 0
}

/** What every method may raise. */
exception FlipperException {
  1: optional ErrorCode code
  2: optional string message = ""
} (
  // Python sets __traceback__ and __notes__ on what it raises: it must be able to.
  python.immutable = "false"
)

/** How a value is compared; no symbol means equality. */
struct ConditionOperator {
  /** One of: gt, gte, lt, lte, ne, in, not_in. */
  1: optional string symbol
}

/** One comparison of what the caller knows with a stored value. */
struct ConditionCheck {
  /** The name of the caller's keyword argument. */
  1: optional string variable
  /** The stored value that it is compared with. */
  2: optional JSON value
  3: optional ConditionOperator operator
}

/** From variable to the checks on it; all of them must hold. */
typedef map<string, list<ConditionCheck>> Condition

struct FeatureFlagStoreMeta {
  /** Seconds since the epoch. */
  1: optional i64 created_date
  /** An object of whatever the application keeps with the flag. */
  2: optional JSON client_data
  3: optional list<Condition> conditions
  /** An object with the field "type" and what that type of bucketer needs. */
  4: optional JSON bucketer
}

struct FeatureFlagStoreItem {
  1: optional string feature_name
  2: optional bool is_enabled
  3: optional FeatureFlagStoreMeta meta
}

service FeatureFlagStore {
  /** Make a flag, in place of one that has the name already. */
  FeatureFlagStoreItem Create(
    1: string feature_name
    2: bool is_enabled
    /** An object; absent means an empty one. */
    3: JSON client_data
  ) throws (1: FlipperException error)

  /** The flag, or NOT_FOUND. */
  FeatureFlagStoreItem Get(1: string feature_name) throws (1: FlipperException error)

  /** Switch the flag on or off; whatever else it holds stays. */
  void Set(
    1: string feature_name
    2: bool is_enabled
  ) throws (1: FlipperException error)

  /** Remove the flag. */
  void Delete(1: string feature_name) throws (1: FlipperException error)

  /**
   * The flags, without the first `offset`, and at most `limit` of them. An absent limit
   * means all: a server in a language where absent reads as 0 has to tell them apart.
   */
  list<FeatureFlagStoreItem> List(
    1: i64 limit
    2: i64 offset
  ) throws (1: FlipperException error)

  /** Replace the meta, or NOT_FOUND; whether the flag is on stays. */
  void SetMeta(
    1: string feature_name
    2: FeatureFlagStoreMeta meta
  ) throws (1: FlipperException error)
}
