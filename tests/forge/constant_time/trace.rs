//! Two processes, one instruction at a time, side by side.
//!
//! Both do the same with other secrets. Where their paths part, or an instruction finds its memory at another place, a
//! secret has got into what an observer of caches and branches can see.
//!
//! The allocator, and what copies, are passed over: what these do depends on what other threads have given back. What they are asked
//! must be the same in both, and the same place of the same block is the same address, wherever the block lies.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};
use nix::libc::user_regs_struct;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::c_library::{Blocks, Call, Functions, Gives, functions_of};
use super::vectors::vector;

/// A process that is traced, with all its threads.
pub struct Traced {
    program: PathBuf,
    child: Child,
    process: Pid,
    memory: fs::File,
    /// Where the program begins in memory.
    base: u64,
    /// What is passed over.
    functions: Functions,
}

/// Octets of what the C library lays a thread's heap in.
const HEAP: u64 = 64 << 20;

/// What two runs of a function did.
#[derive(Debug, Default)]
pub struct Comparison {
    pub steps: u64,
    /// Where the paths parted.
    pub parted: Option<[u64; 2]>,
    /// Instructions whose addresses differed, with the distances, by their place in the program. Zero stands for many places
    /// at once.
    pub addresses: BTreeMap<u64, (String, BTreeSet<u64>)>,
    /// Instructions that found one place of the first at another distance than before: none that lies elsewhere, but another place.
    pub torn: BTreeSet<u64>,
    pub branches: usize,
}

impl Comparison {
    /// Whether nothing differed.
    pub fn is_same(&self) -> bool {
        self.parted.is_none() && self.addresses.is_empty() && self.torn.is_empty()
    }

    /// A thread's heap, or what was allocated before, may lie elsewhere in the other process, as a whole: as many times further on as
    /// heaps are long, or many instructions find their memory at the same distance. What a secret decides lies at many
    /// distances, or at one that hardly any other instruction has.
    fn forget_whole_regions(&mut self) {
        let mut instructions: BTreeMap<u64, usize> = BTreeMap::new();
        let all = self.addresses.values().flat_map(|(_, distances)| distances);
        for distance in all.filter(|distance| **distance != 0) {
            *instructions.entry(*distance).or_default() += 1;
        }
        let is_region = |distance: &u64| {
            let count = instructions.get(distance).copied().unwrap_or(0);
            count >= 10 || count > 0 && distance.is_multiple_of(HEAP)
        };
        self.addresses
            .retain(|_, (_, distances)| !distances.iter().all(is_region));
    }
}

impl Traced {
    /// Starts a program, without random places in memory, up to its first instruction.
    pub fn start(program: &Path, arguments: &[&str], folder: &Path) -> nix::Result<Self> {
        let child = Command::new("setarch")
            .args(["-R", "sh", "-c", "kill -STOP $$; exec \"$0\" \"$@\""])
            .arg(program)
            .args(arguments)
            .current_dir(folder)
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|_| nix::Error::ENOENT)?;
        let process = Pid::from_raw(child.id().cast_signed());
        waitpid(process, Some(WaitPidFlag::WUNTRACED))?;
        ptrace::seize(
            process,
            Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_EXITKILL,
        )?;
        nix::sys::signal::kill(process, Signal::SIGCONT)?;
        loop {
            match waitpid(process, Some(WaitPidFlag::__WALL))? {
                WaitStatus::PtraceEvent(_, _, event) if event == ptrace::Event::PTRACE_EVENT_EXEC as i32 => {
                    break;
                }
                WaitStatus::Exited(..) | WaitStatus::Signaled(..) => return Err(nix::Error::ESRCH),
                status => go_on(&status)?,
            }
        }
        let maps = fs::read_to_string(format!("/proc/{process}/maps")).expect("it runs");
        let base = maps
            .split_once('-')
            .and_then(|(start, _)| u64::from_str_radix(start, 16).ok());
        let memory = fs::File::open(format!("/proc/{process}/mem")).expect("it is ours");
        Ok(Self {
            program: program.to_path_buf(),
            child,
            process,
            memory,
            base: base.expect("it has a first mapping"),
            functions: Functions::new(),
        })
    }

    /// Lets it run until a thread is about to enter a function for the time after `times` others, and gives the thread.
    pub fn run_to(&mut self, function: u64, times: usize) -> nix::Result<Pid> {
        let address = self.base + function;
        let place = address as ptrace::AddressType;
        let before = ptrace::read(self.process, place)?;
        let trap = before & !0xff | 0xcc;
        ptrace::write(self.process, place, trap)?;
        ptrace::cont(self.process, None)?;
        let mut passed = 0;
        loop {
            let status = waitpid(self.all(), Some(WaitPidFlag::__WALL))?;
            let thread = match status {
                WaitStatus::Stopped(thread, Signal::SIGTRAP)
                    if ptrace::getregs(thread)?.rip == address + 1 =>
                {
                    thread
                }
                WaitStatus::Exited(process, _) | WaitStatus::Signaled(process, ..)
                    if process == self.process =>
                {
                    return Err(nix::Error::ESRCH);
                }
                status => {
                    go_on(&status)?;
                    continue;
                }
            };
            let mut registers = ptrace::getregs(thread)?;
            registers.rip = address;
            ptrace::setregs(thread, registers)?;
            ptrace::write(thread, place, before)?;
            if passed == times {
                self.functions = functions_of(&self.program, |place| {
                    u64::from_le_bytes(self.octets(self.base + place))
                });
                assert!(!self.functions.is_empty(), "it is linked to a C library");
                return Ok(thread);
            }
            passed += 1;
            ptrace::step(thread, None)?;
            wait_for(thread)?;
            ptrace::write(thread, place, trap)?;
            ptrace::cont(thread, None)?;
        }
    }

    /// Any of its threads, which are a group of their own: other tests have children too.
    fn all(&self) -> Pid {
        Pid::from_raw(-self.process.as_raw())
    }

    fn octets<const N: usize>(&self, address: u64) -> [u8; N] {
        let mut octets = [0; N];
        let _ = self.memory.read_at(&mut octets, address);
        octets
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = nix::sys::signal::kill(self.process, Signal::SIGKILL);
    }
}

/// Lets a thread go on after something that is none of ours.
fn go_on(status: &WaitStatus) -> nix::Result<()> {
    match *status {
        WaitStatus::Stopped(thread, signal) => {
            let signal = Some(signal).filter(|signal| !matches!(signal, Signal::SIGSTOP | Signal::SIGTRAP));
            ptrace::cont(thread, signal)
        }
        WaitStatus::PtraceEvent(thread, ..) => ptrace::cont(thread, None),
        _ => Ok(()),
    }
}

/// Waits until a thread has made its step.
fn wait_for(thread: Pid) -> nix::Result<()> {
    loop {
        match waitpid(thread, Some(WaitPidFlag::__WALL))? {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => return Ok(()),
            WaitStatus::Stopped(..) | WaitStatus::PtraceEvent(..) => ptrace::step(thread, None)?,
            _ => return Err(nix::Error::ESRCH),
        }
    }
}

/// A place in memory, as an instruction says it.
struct Operand {
    base: Register,
    index: Register,
    scale: u64,
    displacement: u64,
}

impl Operand {
    fn at(base: Register) -> Self {
        Self {
            base,
            index: Register::None,
            scale: 1,
            displacement: 0,
        }
    }

    fn address(&self, all: &user_regs_struct) -> u64 {
        let index = value(self.index, all).wrapping_mul(self.scale);
        value(self.base, all)
            .wrapping_add(index)
            .wrapping_add(self.displacement)
    }
}

/// The places that an instruction, or a call, finds its memory at, and whether it is a conditional branch.
struct Addressed {
    operands: Vec<Operand>,
    /// Many places, beside one of these.
    vector: Option<Register>,
    is_branch: bool,
    text: String,
}

impl Addressed {
    fn of_call(call: Call) -> Self {
        Self {
            operands: call.places.iter().copied().map(Operand::at).collect(),
            vector: None,
            is_branch: false,
            text: call.name.to_owned(),
        }
    }

    fn of(octets: &[u8], address: u64) -> Self {
        let mut instruction = Instruction::default();
        Decoder::with_ip(64, octets, address, DecoderOptions::NONE).decode_out(&mut instruction);
        let text = format!("{:?}", instruction.code());
        let is_nothing = matches!(instruction.mnemonic(), Mnemonic::Lea | Mnemonic::Nop);
        let kinds = instruction.op_kinds().filter(|_| !is_nothing);
        let operands = kinds.filter_map(|kind| match kind {
            OpKind::Memory => Some(Operand {
                base: instruction.memory_base(),
                index: Some(instruction.memory_index())
                    .filter(|_| !instruction.is_vsib())
                    .unwrap_or_default(),
                scale: u64::from(instruction.memory_index_scale()),
                displacement: instruction.memory_displacement64(),
            }),
            OpKind::MemorySegRSI => Some(Operand::at(Register::RSI)),
            OpKind::MemoryESRDI => Some(Operand::at(Register::RDI)),
            _ => None,
        });
        Self {
            // What lies at a distance from the instruction lies there in both.
            operands: operands.filter(|operand| operand.base != Register::RIP).collect(),
            vector: Some(instruction.memory_index()).filter(|_| instruction.is_vsib()),
            is_branch: instruction.is_jcc_short_or_near(),
            text,
        }
    }
}

fn value(register: Register, all: &user_regs_struct) -> u64 {
    match register {
        Register::RAX => all.rax,
        Register::RBX => all.rbx,
        Register::RCX => all.rcx,
        Register::RDX => all.rdx,
        Register::RSI => all.rsi,
        Register::RDI => all.rdi,
        Register::RBP => all.rbp,
        Register::RSP => all.rsp,
        Register::R8 => all.r8,
        Register::R9 => all.r9,
        Register::R10 => all.r10,
        Register::R11 => all.r11,
        Register::R12 => all.r12,
        Register::R13 => all.r13,
        Register::R14 => all.r14,
        Register::R15 => all.r15,
        Register::None => 0,
        other => unreachable!("{other:?} is no general register"),
    }
}

/// Leads a thread through a function that it has just entered, to the instruction behind its call.
fn pass_over(traced: &Traced, thread: Pid) -> nix::Result<user_regs_struct> {
    let entry = ptrace::getregs(thread)?;
    let back = u64::from_le_bytes(traced.octets(entry.rsp));
    loop {
        ptrace::step(thread, None)?;
        wait_for(thread)?;
        let now = ptrace::getregs(thread)?;
        if now.rip == back && now.rsp > entry.rsp {
            return Ok(now);
        }
    }
}

/// Passes over a call in both, and takes down what it gave. Whether both asked the same.
fn pass_over_call(
    traced: [&Traced; 2],
    threads: [Pid; 2],
    call: Call,
    blocks: &mut Blocks,
) -> nix::Result<bool> {
    let asked = [ptrace::getregs(threads[0])?, ptrace::getregs(threads[1])?];
    let [numbers, others] = [0, 1].map(|i| {
        let numbers = call.numbers.iter().map(|number| value(*number, &asked[i]));
        numbers.collect::<Vec<_>>()
    });
    let given = [
        pass_over(traced[0], threads[0])?,
        pass_over(traced[1], threads[1])?,
    ];
    let places = match call.gives {
        Gives::Nothing => None,
        Gives::Returned => Some([given[0].rax, given[1].rax]),
        Gives::Written => Some([0, 1].map(|i| u64::from_le_bytes(traced[i].octets(asked[i].rdi)))),
    };
    if let Some(places) = places {
        blocks.put(places, call.length(&numbers));
    }
    Ok(numbers == others)
}

/// Goes through a function in both, from its first instruction to its return.
pub fn compare(traced: [&Traced; 2], threads: [Pid; 2]) -> nix::Result<Comparison> {
    let mut found = Comparison::default();
    let mut known: BTreeMap<u64, Addressed> = BTreeMap::new();
    let mut blocks = Blocks::default();
    let mut distances_of: BTreeMap<u64, u64> = BTreeMap::new();
    let [first, _] = traced;
    let entry = ptrace::getregs(threads[0])?;
    let back = u64::from_le_bytes(first.octets(entry.rsp));
    loop {
        let [a, b] = [ptrace::getregs(threads[0])?, ptrace::getregs(threads[1])?];
        let places = [a.rip - traced[0].base, b.rip - traced[1].base];
        if places[0] != places[1] {
            found.parted = Some(places);
            return Ok(found);
        }
        if a.rip == back && a.rsp > entry.rsp {
            found.forget_whole_regions();
            found.branches = known.values().filter(|known| known.is_branch).count();
            return Ok(found);
        }
        let call = first.functions.get(&a.rip);
        let addressed = known.entry(a.rip).or_insert_with(|| match call {
            Some(call) => Addressed::of_call(*call),
            None => Addressed::of(&first.octets::<16>(a.rip), a.rip),
        });
        let mut distances = Vec::new();
        for operand in &addressed.operands {
            let place = operand.address(&a);
            let distance = operand.address(&b).wrapping_sub(place);
            if blocks.have(place, distance) {
                continue;
            }
            if *distances_of.entry(place).or_insert(distance) != distance {
                found.torn.insert(places[0]);
            }
            distances.extend(Some(distance).filter(|distance| *distance != 0));
        }
        if let Some(register) = addressed.vector
            && vector(threads[0], register)? != vector(threads[1], register)?
        {
            distances.push(0);
        }
        if !distances.is_empty() {
            let entry = found.addresses.entry(places[0]);
            let (_, all) = entry.or_insert_with(|| (addressed.text.clone(), BTreeSet::new()));
            all.extend(distances);
        }
        if let Some(call) = call {
            if !pass_over_call(traced, threads, *call, &mut blocks)? {
                found.parted = Some(places);
                return Ok(found);
            }
            continue;
        }
        for thread in threads {
            ptrace::step(thread, None)?;
            wait_for(thread)?;
        }
        found.steps += 1;
    }
}
