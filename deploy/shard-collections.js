// Shards the collections of a Starling store, before or after its first start:
//
//   mongosh 'mongodb://ROUTER/' deploy/shard-collections.js
//
// docs/explanation/scale.md says why by these keys. The database is the one that
// --store names; "starling" if it names none.

const database = "starling";

// The shards of compose.sharded.yaml; a real cluster has added its own already.
if (db.adminCommand({ listShards: 1 }).shards.length === 0) {
  sh.addShard("shard1/shard1:27017");
  sh.addShard("shard2/shard2:27017");
}

sh.enableSharding(database);

// Reads and writes by key go to one shard, and _id stays unique in the cluster,
// since equal ones are on the same shard. A collection that holds something is
// sharded only if it has the index of the key.
const store = db.getSiblingDB(database);
store.resources.createIndex({ _id: "hashed" });
store.history.createIndex({ _id: "hashed" });
sh.shardCollection(database + ".resources", { _id: "hashed" });
sh.shardCollection(database + ".history", { _id: "hashed" });

// meta stays unsharded: a few documents.
