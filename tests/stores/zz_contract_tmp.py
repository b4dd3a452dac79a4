import sys, uuid
sys.path.insert(0,'/work/main/tests')
import pytest, consul, psycopg
from flipper import ConsulFeatureFlagStore, PostgreSQLFeatureFlagStore
from flipper.testing.contract import StoreContract

class TestConsul(StoreContract):
    atomic = True
    repetitions = 12
    refused_names = ("/a","a//b",".","../a","a\nb","a\tb")
    @pytest.fixture(autouse=True)
    def _server(self, consul_server):
        self.server = consul_server
    def client_(self): return consul.Consul(host=self.server.host, port=self.server.port)
    def make_store(self):
        self.key = "k"+uuid.uuid4().hex
        return self.open()
    def open(self):
        return ConsulFeatureFlagStore(self.client_(), self.key)
    def close_store(self, store): store.close()
    def write_document(self, store, name, document):
        import time
        i=store._copy.index
        self.client_().kv.put(f"{store.base_key}/{name}", document)
        while store._copy.documents.get(name)!=document: time.sleep(0.002)
    def read_document(self, store, name):
        r=self.client_().kv.get(f"{store.base_key}/{name}")[1]
        return r and r["Value"]
    def open_again(self, store): return ConsulFeatureFlagStore(self.client_(), store.base_key)

class TestPostgres(StoreContract):
    atomic = True
    repetitions = 12
    @pytest.fixture(autouse=True)
    def _server(self, postgres_conninfo):
        self.conninfo = postgres_conninfo
    def make_store(self):
        with psycopg.connect(self.conninfo, autocommit=True) as c: c.execute("drop table if exists feature_flags")
        return PostgreSQLFeatureFlagStore(self.conninfo)
    def close_store(self, store): store.close()
    def write_document(self, store, name, document):
        with psycopg.connect(self.conninfo, autocommit=True) as c:
            c.execute("insert into feature_flags values (%s,%s) on conflict(name) do update set item=excluded.item",(name,document))
    def read_document(self, store, name):
        with psycopg.connect(self.conninfo, autocommit=True) as c:
            r=c.execute("select item from feature_flags where name=%s",(name,)).fetchone()
            return r and bytes(r[0])
    def open_again(self, store): return PostgreSQLFeatureFlagStore(self.conninfo)
