//! What is asked of the server for every chunk is parsed and planned once a connection, and not once a chunk: each question then
//! takes one way there and back instead of three.

use std::collections::HashMap;

use postgres::types::ToSql;
use postgres::{Client, Error, GenericClient, IsolationLevel, Row, Statement, Transaction};

/// The statements that a connection has prepared, by their text.
#[derive(Default)]
pub(super) struct Statements {
    prepared: HashMap<String, Statement>,
}

/// A connection, or a transaction on it, with the statements that it has prepared.
pub(super) struct Asking<'a, C> {
    pub(super) client: &'a mut C,
    statements: &'a mut Statements,
}

pub(super) type Reading<'a> = Asking<'a, Client>;
pub(super) type Writing<'a, 't> = Asking<'a, Transaction<'t>>;

type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

impl Statements {
    /// Forgets what another connection had prepared.
    pub(super) fn forget(&mut self) {
        self.prepared.clear();
    }
}

impl<'a, C> Asking<'a, C> {
    pub(super) fn new(client: &'a mut C, statements: &'a mut Statements) -> Self {
        Self { client, statements }
    }
}

impl<C: GenericClient> Asking<'_, C> {
    fn prepared(&mut self, sql: &str) -> Result<Statement, Error> {
        if let Some(statement) = self.statements.prepared.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql)?;
        self.statements.prepared.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    pub(super) fn execute(&mut self, sql: &str, parameters: Parameters<'_>) -> Result<u64, Error> {
        let statement = self.prepared(sql)?;
        self.client.execute(&statement, parameters)
    }

    pub(super) fn query(&mut self, sql: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, Error> {
        let statement = self.prepared(sql)?;
        self.client.query(&statement, parameters)
    }

    pub(super) fn query_one(&mut self, sql: &str, parameters: Parameters<'_>) -> Result<Row, Error> {
        let statement = self.prepared(sql)?;
        self.client.query_one(&statement, parameters)
    }

    pub(super) fn query_opt(&mut self, sql: &str, parameters: Parameters<'_>) -> Result<Option<Row>, Error> {
        let statement = self.prepared(sql)?;
        self.client.query_opt(&statement, parameters)
    }

    /// Does some work in a transaction of its own, or in a savepoint, which is kept when the work is done.
    pub(super) fn within<T, E: From<Error>>(
        &mut self,
        work: impl FnOnce(&mut Writing<'_, '_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut transaction = self.client.transaction()?;
        let done = work(&mut Asking::new(&mut transaction, self.statements))?;
        transaction.commit()?;
        Ok(done)
    }
}

impl Reading<'_> {
    /// Reads in one view of the ledger, whatever is written meanwhile.
    pub(super) fn at_one_time<T, E: From<Error>>(
        &mut self,
        read: impl FnOnce(&mut Writing<'_, '_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut snapshot = self
            .client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()?;
        read(&mut Asking::new(&mut snapshot, self.statements))
    }
}
