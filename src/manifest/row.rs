//! Rows: what the lines of a block say. Every line becomes a row or a problem.

use super::block::{Block, Line};
use super::{DeviceId, Header, MAX_LINE, Problem, Reason};

/// One device's row: its id and the fields that templates may use.
#[derive(Debug, Clone)]
pub struct Row {
    pub line: u64,
    pub device_id: DeviceId,
    record: csv::StringRecord,
}

impl Row {
    /// A row that no file holds, for what needs one to try a profile on.
    #[must_use]
    pub fn new(line: u64, device_id: DeviceId, fields: &[&str]) -> Self {
        Self {
            line,
            device_id,
            record: csv::StringRecord::from(fields.to_vec()),
        }
    }

    /// The field in this column; empty when there is none.
    #[must_use]
    pub fn field(&self, index: usize) -> &str {
        self.record.get(index).unwrap_or_default()
    }
}

pub(super) fn parse(
    block: &Block,
    header: &Header,
    delimiter: u8,
    id_index: usize,
) -> (Vec<Row>, Vec<Problem>) {
    let mut parser = Parser {
        block,
        header,
        delimiter,
        id_index,
        rows: Vec::with_capacity(block.rows()),
        problems: Vec::new(),
    };
    for (first, last) in &block.gaps {
        let (column, reason) = match first == last {
            true => (Some(header.columns()[id_index].clone()), Reason::Empty),
            false => (None, Reason::EmptyRows { last: *last }),
        };
        parser.problems.push(Problem {
            line: *first,
            column,
            value: None,
            reason,
        });
    }
    let mut next = 0;
    while next < block.lines.len() {
        next = parser.parse_from(next);
    }
    (parser.rows, parser.problems)
}

struct Parser<'a> {
    block: &'a Block,
    header: &'a Header,
    delimiter: u8,
    id_index: usize,
    rows: Vec<Row>,
    problems: Vec<Problem>,
}

impl Parser<'_> {
    /// Parses lines until one leaves a quote open, which makes what follows another's field. Returns
    /// the line to go on with. Every line becomes a row or a problem.
    fn parse_from(&mut self, first: usize) -> usize {
        let lines = &self.block.lines;
        let start = lines[first].range.start;
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(self.delimiter)
            .terminator(csv::Terminator::Any(b'\n'))
            .from_reader(&self.block.bytes[start..]);
        let mut record = csv::ByteRecord::new();
        for (i, line) in lines.iter().enumerate().skip(first) {
            // The reader would pass over one at its beginning, and take any other for part of a field.
            if self.block.bytes[line.range.clone()].starts_with(super::UTF8_BOM) {
                self.problem(i, Reason::ByteOrderMark);
                return i + 1;
            }
            let is_read = matches!(reader.read_byte_record(&mut record), Ok(true));
            let at = record.position().map(|position| start as u64 + position.byte());
            if !is_read || at != Some(line.range.start as u64) {
                self.problem(i, Reason::Unreadable);
                return i + 1;
            }
            if record.iter().any(|field| field.contains(&b'\n')) {
                self.problem(i, Reason::OpenQuote);
                return i + 1;
            }
            match row(&record, line, self.header, self.id_index) {
                Ok(row) => self.rows.push(row),
                Err(problem) => self.problems.push(problem),
            }
        }
        lines.len()
    }

    fn problem(&mut self, i: usize, reason: Reason) {
        self.problems.push(Problem {
            line: self.block.lines[i].number,
            column: None,
            value: None,
            reason,
        });
    }
}

fn row(record: &csv::ByteRecord, line: &Line, header: &Header, id_index: usize) -> Result<Row, Problem> {
    let problem = |column: Option<usize>, value: Option<&[u8]>, reason| Problem {
        line: line.number,
        column: column.map(|i| header.columns()[i].clone()),
        value: value.map(|bytes| String::from_utf8_lossy(bytes).into_owned()),
        reason,
    };
    if line.too_long {
        return Err(problem(None, None, Reason::LineTooLong { limit: MAX_LINE }));
    }
    if record
        .iter()
        .map(<[u8]>::trim_ascii)
        .eq(header.columns().iter().map(String::as_bytes))
    {
        return Err(problem(None, None, Reason::Header));
    }
    if record.len() != header.columns().len() {
        let reason = Reason::Ragged {
            fields: record.len(),
            columns: header.columns().len(),
        };
        return Err(problem(None, None, reason));
    }
    for (i, field) in record.iter().enumerate() {
        let Ok(text) = std::str::from_utf8(field) else {
            return Err(problem(Some(i), Some(field), Reason::NotUtf8));
        };
        if let Some(c) = text.chars().find(|c| c.is_control() && *c != '\t') {
            return Err(problem(Some(i), Some(field), Reason::Control(c)));
        }
    }
    let id = record.get(id_index).unwrap_or_default();
    let device_id = std::str::from_utf8(id)
        .map_err(|_| Reason::NotUtf8)
        .and_then(DeviceId::parse)
        .map_err(|reason| {
            let value = (!id.is_empty()).then_some(id);
            problem(Some(id_index), value, reason)
        })?;
    let record = csv::StringRecord::from_byte_record(record.clone()).expect("every field was checked");
    Ok(Row {
        line: line.number,
        device_id,
        record,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Blocks;
    use proptest::prelude::*;

    fn blocks(text: &str, rows: usize) -> Blocks<&[u8]> {
        let header_line = text.split_inclusive('\n').next().unwrap_or_default();
        Blocks::new(
            text.as_bytes(),
            "devices.csv".into(),
            rows,
            header_line.as_bytes(),
        )
        .unwrap()
    }

    fn parse_text(text: &str, rows: usize) -> (Vec<Row>, Vec<Problem>) {
        let header = Header::new(vec!["serial_number".to_owned(), "note".to_owned()]);
        let mut blocks = blocks(text, rows);
        let mut all = (Vec::new(), Vec::new());
        while let Some(block) = blocks.next_block().unwrap() {
            let (rows, problems) = parse(&block, &header, b',', 0);
            all.0.extend(rows);
            all.1.extend(problems);
        }
        all
    }

    #[test]
    fn numbers_lines_as_an_editor_does() {
        for end in ["\n", "\r\n"] {
            for rows in [1, 2, 100] {
                let text = ["h,n", "A,1", "", "", "B,2", "C/,3", "", "D,\"4\"\"\"", "E"].join(end);
                let (rows, problems) = parse_text(&text, rows);
                let lines: Vec<_> = rows
                    .iter()
                    .map(|row| (row.device_id.as_str(), row.line))
                    .collect();
                assert_eq!(lines, [("A", 2), ("B", 5), ("D", 8)]);
                let lines: Vec<_> = problems.iter().map(|problem| problem.line).collect();
                assert_eq!(lines, [6, 9]);
            }
        }
    }

    #[test]
    fn an_open_quote_hides_no_other_line() {
        for rows in [1, 2, 3, 100] {
            let (good, problems) = parse_text("h,n\nA,1\nB,\"open\nC/,3\nD,4\nE,\"x\"\nF/,5\n", rows);
            let lines: Vec<_> = good.iter().map(|row| row.line).collect();
            assert_eq!(lines, [2, 5, 6], "{rows} rows a block");
            let reasons: Vec<_> = problems.iter().map(|p| (p.line, p.reason.clone())).collect();
            let slash = Reason::IdCharacter('/');
            assert_eq!(reasons, [(3, Reason::OpenQuote), (4, slash.clone()), (7, slash)]);
        }
    }

    #[test]
    fn joined_files_are_noticed() {
        for rows in [1, 2, 3, 100] {
            let text = "serial_number,note\nA,1\nserial_number,note\nB,2\n\u{feff}serial_number,note\n\u{feff}\nC,3\n";
            let (good, problems) = parse_text(text, rows);
            assert_eq!(good.len(), 3, "{rows} rows a block");
            let reasons: Vec<_> = problems.iter().map(|p| (p.line, p.reason.clone())).collect();
            assert_eq!(reasons[0], (3, Reason::Header));
            assert_eq!((reasons[1].0, reasons[2].0, reasons.len()), (5, 6, 3));
        }
    }

    proptest! {
        #[test]
        fn every_line_is_a_row_or_a_problem(
            lines in prop::collection::vec("[a-zA-Z0-9,\"\r\u{feff} /]{0,12}", 0..30),
            rows in 1usize..8,
        ) {
            let text: String = ["h,n"].into_iter().chain(lines.iter().map(String::as_str)).flat_map(|line| [line, "\n"]).collect();
            let (good, problems) = parse_text(&text, rows);
            let last = |problem: &Problem| match problem.reason {
                Reason::EmptyRows { last } => last,
                _ => problem.line,
            };
            let mut found: Vec<u64> = good.iter().map(|row| row.line).collect();
            found.extend(problems.iter().flat_map(|problem| problem.line..=last(problem)));
            let plain = |line: &str| line.strip_suffix('\r').unwrap_or(line).to_owned();
            let is_empty = |line: &str| line.replace("\"\"", "").trim_matches([',', ' ']).is_empty();
            let lines: Vec<(u64, String)> = (2..).zip(lines.iter().map(|line| plain(line))).collect();
            let end = lines.iter().filter(|(_, line)| !is_empty(line)).map(|(number, _)| *number).max();
            // Blank lines inside a run of empty rows count among them.
            found.retain(|number| !lines[usize::try_from(number - 2).unwrap()].1.is_empty());
            found.sort_unstable();
            let expected: Vec<u64> = lines
                .iter()
                .filter(|(number, line)| !line.is_empty() && Some(*number) <= end)
                .map(|(number, _)| *number)
                .collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_huge_line_is_one_problem_and_costs_no_memory() {
        let text = format!("h,n\nA,{}\nB,2\n", "x".repeat(300_000));
        let (rows, problems) = parse_text(&text, 100);
        assert_eq!(rows.len(), 1);
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].reason, Reason::LineTooLong { limit: MAX_LINE });
        let mut blocks = blocks(&text, 10);
        while blocks.next_block().unwrap().is_some() {}
        assert_eq!(blocks.finish(), crate::digest::sha256(text.as_bytes()));
    }
}
