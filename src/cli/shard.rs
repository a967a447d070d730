//! `--shard`: `I/N` as it is, or `auto`: from the variables that AWS Batch, Slurm and Kubernetes set for a task of an array.
//! What they say must be whole, and agree; a task that took another's shard would make its devices a second time.

use std::str::FromStr;

use certforge::forge::Shard;

use super::Failure;

const BATCH_INDEX: &str = "AWS_BATCH_JOB_ARRAY_INDEX";
const BATCH_SIZE: &str = "AWS_BATCH_JOB_ARRAY_SIZE";
const SLURM_ID: &str = "SLURM_ARRAY_TASK_ID";
const SLURM_MIN: &str = "SLURM_ARRAY_TASK_MIN";
const SLURM_MAX: &str = "SLURM_ARRAY_TASK_MAX";
const SLURM_STEP: &str = "SLURM_ARRAY_TASK_STEP";
const SLURM_COUNT: &str = "SLURM_ARRAY_TASK_COUNT";
const COMPLETION_INDEX: &str = "JOB_COMPLETION_INDEX";

/// Which shard is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    This(Shard),
    /// That of this task, of so many if that is given.
    Auto {
        of: Option<u32>,
    },
}

/// The shard that is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub shard: Shard,
    /// The variables that said so; `None`: it was given.
    pub from: Option<String>,
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || "shards are 1/N to N/N; auto, or auto/N, takes that of the task of an array".to_owned();
        match text.split_once('/') {
            None if text == "auto" => Ok(Self::Auto { of: None }),
            Some(("auto", of)) => match of.parse() {
                Ok(of) if of > 0 => Ok(Self::Auto { of: Some(of) }),
                _ => Err(wrong()),
            },
            _ => text.parse().map(Self::This).map_err(|_| wrong()),
        }
    }
}

impl Wanted {
    /// The shard, as the environment has it.
    pub fn take(self) -> Result<Taken, Failure> {
        self.take_from(&|name| Some(std::env::var_os(name)?.to_string_lossy().into_owned()))
    }

    fn take_from(self, variable: &dyn Fn(&str) -> Option<String>) -> Result<Taken, Failure> {
        match self {
            Self::This(shard) => Ok(Taken { shard, from: None }),
            Self::Auto { of } => {
                let variables = Variables(variable);
                let found = [
                    aws_batch(&variables)?,
                    slurm(&variables)?,
                    kubernetes(&variables)?,
                ];
                let tasks: Vec<Task> = found.into_iter().flatten().collect();
                shard_of(&tasks, of)
            }
        }
    }
}

/// The environment. What is set to nothing is not set.
struct Variables<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Variables<'_> {
    fn number(&self, name: &str) -> Result<Option<u64>, Failure> {
        let Some(value) = (self.0)(name).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let number = value.parse().map_err(|_| {
            Failure::usage(
                &format!("{name} is {value:?}, which is no number, and --shard auto reads it"),
                "unset it, or give the shard, as in --shard 1/4",
            )
        })?;
        Ok(Some(number))
    }
}

/// A task of an array, as one scheduler has it.
struct Task {
    /// From 0.
    index: u64,
    count: Option<u64>,
    /// The variables that say so.
    told: String,
}

fn aws_batch(variables: &Variables) -> Result<Option<Task>, Failure> {
    let Some(index) = variables.number(BATCH_INDEX)? else {
        return Ok(None);
    };
    let count = variables.number(BATCH_SIZE)?;
    let told = told(&[(BATCH_INDEX, Some(index)), (BATCH_SIZE, count)]);
    Ok(Some(Task { index, count, told }))
}

/// Slurm numbers tasks as it is told to, from MIN in steps; an array may have holes, which no shard is for.
fn slurm(variables: &Variables) -> Result<Option<Task>, Failure> {
    let Some(id) = variables.number(SLURM_ID)? else {
        return Ok(None);
    };
    let [min, max, step, count] =
        [SLURM_MIN, SLURM_MAX, SLURM_STEP, SLURM_COUNT].map(|name| variables.number(name));
    let (min, max, step, count) = (min?, max?, step?, count?);
    let told = told(&[
        (SLURM_ID, Some(id)),
        (SLURM_MIN, min),
        (SLURM_MAX, max),
        (SLURM_STEP, step),
        (SLURM_COUNT, count),
    ]);
    let (Some(min), Some(count)) = (min, count) else {
        return Err(Failure::usage(
            &format!(
                "{told} does not say which task of how many this is: {SLURM_MIN} and {SLURM_COUNT} must be there too"
            ),
            "hand the job in with `sbatch --array=0-N`, or give the shard, as in --shard 1/4",
        ));
    };
    let step = step.unwrap_or(1);
    let index = |id: u64| {
        let above = id.checked_sub(min)?;
        (above.checked_rem(step)? == 0).then(|| above / step)
    };
    let ends = max.is_none_or(|max| index(max).is_some_and(|last| last.checked_add(1) == Some(count)));
    match index(id) {
        Some(index) if ends && index < count => Ok(Some(Task {
            index,
            count: Some(count),
            told,
        })),
        _ => Err(Failure::usage(
            &format!("{told} is a task of an array with holes, and no shard is for a hole"),
            "hand in an array without holes, such as --array=0-9; `scontrol requeue` runs one task of it again; or give the shard, as in --shard 1/4",
        )),
    }
}

fn kubernetes(variables: &Variables) -> Result<Option<Task>, Failure> {
    let index = variables.number(COMPLETION_INDEX)?;
    Ok(index.map(|index| Task {
        index,
        count: None,
        told: told(&[(COMPLETION_INDEX, Some(index))]),
    }))
}

fn told(variables: &[(&str, Option<u64>)]) -> String {
    let set = variables
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", (*value)?)));
    set.collect::<Vec<_>>().join(", ")
}

/// The shard on which all agree.
fn shard_of(tasks: &[Task], given: Option<u32>) -> Result<Taken, Failure> {
    let Some(first) = tasks.first() else {
        return Err(Failure::usage(
            &format!(
                "--shard auto is for a task of an array, and none of {BATCH_INDEX}, {SLURM_ID} and {COMPLETION_INDEX} is set"
            ),
            "`certforge job` prints arrays for AWS Batch, Slurm and Kubernetes; anywhere else give the shard, as in --shard 1/4",
        ));
    };
    let told = tasks
        .iter()
        .map(|task| task.told.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    let mut counts = tasks.iter().filter_map(|task| task.count);
    let Some(count) = given.map(u64::from).or_else(|| counts.next()) else {
        return Err(Failure::usage(
            &format!("{told} says which task this is, and nothing says of how many"),
            "give their number, as in --shard auto/8",
        ));
    };
    if tasks.iter().any(|task| task.index != first.index) || counts.any(|other| other != count) {
        return Err(contradiction(&told, given));
    }
    let of = u32::try_from(count).ok();
    match of.and_then(|of| Shard::of_index(first.index, of)) {
        Some(shard) => Ok(Taken {
            shard,
            from: Some(told),
        }),
        None => Err(Failure::usage(
            &format!(
                "{told}: there is no task {} of {count}, counted from 0",
                first.index
            ),
            "give the number of tasks that the array has, as in --shard auto/8",
        )),
    }
}

fn contradiction(told: &str, given: Option<u32>) -> Failure {
    let option = given.map_or_else(String::new, |of| format!(" and --shard auto/{of}"));
    Failure::usage(
        &format!("{told}{option} contradict each other, and a wrong shard would be made twice"),
        "leave out what is not of this array: all of its tasks must be there, with one number of tasks; or give the shard, as in --shard 1/4",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `--shard TEXT` takes where these variables are set.
    fn take(text: &str, set: &[(&str, &str)]) -> Result<String, String> {
        let variable = |name: &str| {
            let found = set.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let taken = text.parse::<Wanted>()?.take_from(&variable);
        let taken = taken.map_err(|failure| failure.message().to_owned())?;
        assert_eq!(taken.from.is_some(), text.starts_with("auto"), "{text}");
        Ok(taken.shard.to_string())
    }

    fn slurm<'a>(
        id: &'a str,
        min: &'a str,
        max: &'a str,
        step: &'a str,
        count: &'a str,
    ) -> Vec<(&'static str, &'a str)> {
        vec![
            (SLURM_ID, id),
            (SLURM_MIN, min),
            (SLURM_MAX, max),
            (SLURM_STEP, step),
            (SLURM_COUNT, count),
        ]
    }

    #[test]
    fn a_task_takes_the_shard_of_its_index() {
        for (text, set, shard) in [
            ("2/4", vec![(BATCH_INDEX, "7")], "2/4"),
            ("auto", vec![(BATCH_INDEX, "2"), (BATCH_SIZE, "8")], "3/8"),
            ("auto/8", vec![(BATCH_INDEX, "2")], "3/8"),
            ("auto/8", vec![(COMPLETION_INDEX, "0")], "1/8"),
            ("auto/8", vec![(COMPLETION_INDEX, "7"), (BATCH_INDEX, "")], "8/8"),
            // Two that agree.
            (
                "auto",
                vec![(BATCH_INDEX, "2"), (BATCH_SIZE, "8"), (COMPLETION_INDEX, "2")],
                "3/8",
            ),
            ("auto", slurm("0", "0", "9", "1", "10"), "1/10"),
            ("auto", slurm("9", "0", "9", "1", "10"), "10/10"),
            ("auto/10", slurm("10", "1", "10", "1", "10"), "10/10"),
            ("auto", slurm("8", "0", "20", "4", "6"), "3/6"),
            ("auto", slurm("5", "5", "5", "1", "1"), "1/1"),
            (
                "auto",
                vec![(SLURM_ID, "3"), (SLURM_MIN, "2"), (SLURM_COUNT, "4")],
                "2/4",
            ),
        ] {
            assert_eq!(take(text, &set).as_deref(), Ok(shard), "{text} {set:?}");
        }
    }

    #[test]
    fn a_task_that_may_be_another_takes_none() {
        for (text, set, message) in [
            (
                "auto",
                vec![],
                "none of AWS_BATCH_JOB_ARRAY_INDEX, SLURM_ARRAY_TASK_ID and JOB_COMPLETION_INDEX is set",
            ),
            ("auto/8", vec![(BATCH_INDEX, "")], "is set"),
            ("auto", vec![(COMPLETION_INDEX, "2")], "nothing says of how many"),
            ("auto", vec![(BATCH_INDEX, "2")], "nothing says of how many"),
            (
                "auto",
                vec![(BATCH_INDEX, "two"), (BATCH_SIZE, "8")],
                "AWS_BATCH_JOB_ARRAY_INDEX is \"two\", which is no number",
            ),
            ("auto/8", vec![(COMPLETION_INDEX, "-1")], "no number"),
            (
                "auto/8",
                vec![(COMPLETION_INDEX, "8")],
                "there is no task 8 of 8, counted from 0",
            ),
            (
                "auto",
                vec![(BATCH_INDEX, "0"), (BATCH_SIZE, "0")],
                "there is no task 0 of 0",
            ),
            (
                "auto",
                vec![(BATCH_INDEX, "0"), (BATCH_SIZE, "4294967296")],
                "there is no task 0 of 4294967296",
            ),
            (
                "auto/4",
                vec![(BATCH_INDEX, "2"), (BATCH_SIZE, "8")],
                "AWS_BATCH_JOB_ARRAY_SIZE=8 and --shard auto/4 contradict each other",
            ),
            (
                "auto",
                vec![(BATCH_INDEX, "2"), (BATCH_SIZE, "8"), (COMPLETION_INDEX, "1")],
                "contradict each other",
            ),
            (
                "auto",
                [
                    slurm("2", "0", "9", "1", "10"),
                    vec![(BATCH_INDEX, "2"), (BATCH_SIZE, "8")],
                ]
                .concat(),
                "contradict each other",
            ),
            // One task of ten, handed in alone: it would make the whole batch.
            ("auto/10", slurm("3", "3", "3", "1", "1"), "contradict each other"),
            (
                "auto",
                vec![(SLURM_ID, "3")],
                "does not say which task of how many this is",
            ),
            ("auto", vec![(SLURM_ID, "3"), (SLURM_MIN, "0")], "does not say"),
            // --array=1,3,7 and --array=0-4,8.
            (
                "auto",
                slurm("3", "1", "7", "1", "3"),
                "a task of an array with holes",
            ),
            (
                "auto",
                slurm("1", "1", "7", "1", "3"),
                "a task of an array with holes",
            ),
            (
                "auto",
                slurm("8", "0", "8", "1", "6"),
                "a task of an array with holes",
            ),
            (
                "auto",
                slurm("3", "0", "20", "4", "6"),
                "a task of an array with holes",
            ),
            (
                "auto",
                slurm("3", "4", "9", "1", "6"),
                "a task of an array with holes",
            ),
            (
                "auto",
                slurm("3", "0", "9", "0", "10"),
                "a task of an array with holes",
            ),
            (
                "auto",
                vec![(SLURM_ID, "9"), (SLURM_MIN, "0"), (SLURM_COUNT, "4")],
                "with holes",
            ),
        ] {
            let refused = take(text, &set).expect_err(text);
            assert!(refused.contains(message), "{text} {set:?}: {refused}");
        }
    }

    #[test]
    fn refuses_what_is_no_shard() {
        for text in [
            "",
            "Auto",
            "auto/",
            "auto/0",
            "auto/-1",
            "auto/x",
            "auto/4294967296",
            "0/4",
            "5/4",
            "1",
            "1/auto",
        ] {
            assert!(text.parse::<Wanted>().is_err(), "{text}");
        }
    }
}
