// One virtual processor as the interpreter runs it: hot registers, lazy flags, the TLB, and the services that
// instruction handlers use. The members are implemented by topic: cpu.cpp (modes, flags), mmu.cpp and
// page_walk.cpp (memory), cpu_inline.hpp (the templates), exceptions.cpp (delivery), segments.cpp (segment
// loads), run.cpp (the loop).
#pragma once

#include "cpu/engine.hpp"
#include "cpu/interpreter/blocks.hpp"
#include "cpu/interpreter/code_mode.hpp"
#include "cpu/interpreter/flags.hpp"
#include "cpu/interpreter/guarded_bus.hpp"
#include "cpu/interpreter/insn.hpp"
#include "cpu/interpreter/rewritten_code.hpp"
#include "cpu/interpreter/tlb.hpp"
#include "cpu/x86/registers.hpp"
#include "cpu/x86/sse_environment.hpp"
#include "cpu/x86/state.hpp"

#include <array>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace strata::cpu::translator {
class Translator;
struct StateLayout;
} // namespace strata::cpu::translator

namespace strata::cpu::interpreter {

class Shared; // what the vCPUs of one machine share: memory, the clock, which memory is code
class Decoder;
class CodeMailbox;
struct WalkAccess;
struct Mapping;

// An architectural exception on its way to the guest; thrown by Cpu::raise, caught by the run loop.
struct Fault {
    x86::Vector vector;
    std::uint32_t error_code = 0; // pushed if the vector has one
};

enum class Access : std::uint8_t { read, write, fetch };

// The bytes that a value of type T takes in memory.
template <class T>
inline constexpr unsigned memory_size = sizeof(T);
template <>
inline constexpr unsigned memory_size<x86::Float80> = 10;

// Held during a locked access that the host cannot make atomic: split ones and those to devices.
class BusLock {
public:
    explicit BusLock(Shared& shared);
    ~BusLock();
    BusLock(const BusLock&) = delete;
    BusLock& operator=(const BusLock&) = delete;

private:
    Shared& shared_;
};

class Cpu {
public:
    Cpu(Shared& shared, const VcpuConfig& config, Bus& bus);
    ~Cpu();
    Cpu(const Cpu&) = delete;
    Cpu& operator=(const Cpu&) = delete;

    // ---- registers: hot ones here, the rest in system and fp ----
    std::array<std::uint64_t, 18> regs{};         // general registers, zero_slot, rip_slot
    Flags flags;                                  // CF PF AF ZF SF OF
    std::uint64_t other_flags = x86::flag::fixed; // the rest of RFLAGS
    x86::SystemState system{};
    x86::FpState fp{};
    x86::Activity activity = x86::Activity::active;
    bool sti_shadow = false, movss_shadow = false, nmi_blocked = false, in_smm = false;

    [[nodiscard]] std::uint64_t& rip() { return regs[rip_slot]; }

    [[nodiscard]] std::uint64_t rip() const { return regs[rip_slot]; }

    // General register `number` as T. Writing 32 bits clears the upper half; 8 and 16 bits keep the rest.
    // For bytes, numbers from 32 on are AH, CH, DH, BH: the second byte of register number - 32.
    template <class T>
    [[nodiscard]] T reg(unsigned number) const;
    template <class T>
    void set_reg(unsigned number, T value);

    [[nodiscard]] std::uint64_t rflags() const { return other_flags | flags.arithmetic(); }

    // All of RFLAGS, without privilege checks; looks again at what depends on IF, TF, VM, AC.
    void set_rflags(std::uint64_t value);

    // MXCSR as instructions see it. While run() runs, exception flags gather in the host's unit and fp.mxcsr
    // has only the older ones (x86/sse_environment.hpp); before and after, fp.mxcsr is the whole.
    [[nodiscard]] std::uint32_t mxcsr() const { return fp.mxcsr | x86::sse_environment::raised(); }

    void set_mxcsr(std::uint32_t value) {
        fp.mxcsr = value;
        x86::sse_environment::load(value);
    }

    // ---- mode ----
    [[nodiscard]] unsigned cpl() const { return cpl_; }

    [[nodiscard]] bool long_mode() const { return system.efer & x86::efer::lma; } // IA-32e, any submode

    [[nodiscard]] bool code64() const { return code64_; } // 64-bit submode

    [[nodiscard]] bool protected_mode() const { return system.cr0 & x86::cr0::pe; }

    [[nodiscard]] bool v86() const { return other_flags & x86::flag::vm; }

    [[nodiscard]] bool real_or_v86() const { return !protected_mode() || v86(); }

    [[nodiscard]] unsigned iopl() const { return static_cast<unsigned>(other_flags >> 12) & 3; }

    // After CR0, CR4, EFER, CS, SS, CPL or RFLAGS changed other than through the setters: recomputes what is
    // derived from them and ends the current block.
    void mode_changed();
    // After the limit or the attributes of system.segments[segment] changed (its base is read afresh by each
    // access).
    void segment_changed(unsigned segment);
    void set_cpl(unsigned cpl);

    [[nodiscard]] const x86::Model& model() const { return *config_.model; }

    [[nodiscard]] const VcpuConfig& config() const { return config_; }

    [[nodiscard]] Bus& bus() { return bus_; }

    // ---- faults ----
    [[noreturn]] void raise(x86::Vector vector, std::uint32_t error_code = 0);

    [[noreturn]] void raise_gp(std::uint32_t error_code = 0) {
        raise(x86::Vector::general_protection, error_code);
    }

    [[noreturn]] void raise_ud() { raise(x86::Vector::invalid_opcode); }

    // ---- memory: T is an unsigned integer of 1 to 8 bytes, or a trivially copyable 10-, 16- or 32-byte type
    // ---- The memory operand's offset within its segment (masked to the address size), and its linear
    // address.
    [[nodiscard]] std::uint64_t effective_address(const Insn& insn) const;

    // `offset` as wide as the instruction's addresses.
    [[nodiscard]] static std::uint64_t masked_address(const Insn& insn, std::uint64_t offset) {
        return insn.address_size == 3   ? offset
               : insn.address_size == 2 ? static_cast<std::uint32_t>(offset)
                                        : static_cast<std::uint16_t>(offset);
    }

    // What can be accessed directly from [segment:offset] on, at most so many bytes: to the end of its page,
    // or further where the next ones follow in the host's memory. Empty if nothing.
    [[nodiscard]] std::span<std::byte> direct(unsigned segment, std::uint64_t offset, Access access,
                                              std::uint64_t most);

    // Whether the model's linear addresses have `address` (always so outside 64-bit mode's code).
    [[nodiscard]] bool canonical(std::uint64_t address) const {
        return static_cast<std::uint64_t>(static_cast<std::int64_t>(address << 16) >> 16) == address;
    }

    // The linear address of [segment:offset, + size), with limit, type and canonical checks for the access.
    [[nodiscard]] std::uint64_t linear(unsigned segment, std::uint64_t offset, unsigned size, Access access);

    // The linear address of the memory operand, with the same checks.
    [[nodiscard]] std::uint64_t operand_address(const Insn& insn, unsigned size, Access access);

    template <class T>
    [[nodiscard]] T load(const Insn& insn); // the memory operand
    template <class T>
    void store(const Insn& insn, T value);

    template <class T>
    [[nodiscard]] T load_rm(const Insn& insn) {
        return insn.memory ? load<T>(insn) : reg<T>(insn.rm);
    }

    template <class T>
    void store_rm(const Insn& insn, T value) {
        insn.memory ? store<T>(insn, value) : set_reg<T>(insn.rm, value);
    }

    template <class T>
    [[nodiscard]] T load(unsigned segment, std::uint64_t offset);
    template <class T>
    void store(unsigned segment, std::uint64_t offset, T value);
    // At a linear address that operand_address() or linear() gave for the segment.
    template <class T>
    [[nodiscard]] T load_at(std::uint64_t linear, unsigned segment);
    template <class T>
    void store_at(std::uint64_t linear, unsigned segment, T value);
    // Read-modify-write of one operand: the page is checked for writing before `change` sees the old value,
    // and the whole is atomic if `locked`. `change` returns the new value; modify() returns the old one.
    // `change` may be called more than once when another processor interferes.
    template <class T, class Change>
    T modify(unsigned segment, std::uint64_t offset, bool locked, Change change);
    template <class T, class Change>
    T modify(const Insn& insn, Change change); // the memory operand; locked if insn.lock

    // By linear address with the current privilege; `implicit_supervisor` for descriptor tables, TSS and the
    // like.
    template <class T>
    [[nodiscard]] T load_linear(std::uint64_t address, bool implicit_supervisor = false);
    template <class T>
    void store_linear(std::uint64_t address, T value, bool implicit_supervisor = false);
    // What an access to the page of `linear` faults with for that page's sake, CR2 being set then; nothing is
    // thrown. Else the TLB has the page.
    [[nodiscard]] std::optional<Fault> page_fault(std::uint64_t linear, Access access, DataView rights);
    // Likewise of fetching the next instruction's first byte.
    [[nodiscard]] std::optional<Fault> fetch_fault();
    // Faults as the access would, changes nothing else.
    void probe_linear(std::uint64_t address, unsigned size, Access access, bool implicit_supervisor = false);
    // Likewise at a linear address that linear() gave for the segment.
    void probe_at(std::uint64_t linear, unsigned size, Access access, unsigned segment);

    // ---- stack: sizes in bytes; SS.B and 64-bit mode decide how far rSP counts ----
    void push(std::uint64_t value, unsigned size);
    [[nodiscard]] std::uint64_t pop(unsigned size);
    template <class T>
    void push_as(T value);
    template <class T>
    [[nodiscard]] T pop_as();
    [[nodiscard]] std::uint64_t stack_mask() const; // which bits of rSP count
    void set_stack_pointer(std::uint64_t value);    // writes those bits (32 clear the upper half)

    // ---- paging ----
    void flush_tlb(bool global_too);            // MOV CR3; MOV CR4, CR0
    void invalidate_page(std::uint64_t linear); // INVLPG
    void invalidate_pcid(std::uint64_t pcid);   // but for global pages
    void invalidate_all_but_global();           // of all PCIDs
    // MOV CR3; `keep` what is known of the address space that its PCID names.
    void load_cr3(std::uint64_t value, bool keep);

    [[nodiscard]] std::uint64_t pcid() const {
        return (system.cr4 & x86::cr4::pcide) != 0 ? system.cr3 & 0xFFF : 0;
    }

    [[nodiscard]] std::optional<memory::GuestPhysical> translate(std::uint64_t linear) const;
    // Does what fetching the next instruction does to page tables and TLB; false if that would fault.
    bool prefetch();

    // ---- segments, control transfers (segments.cpp, far.cpp, tasks.cpp, exceptions.cpp) ----
    void load_segment(unsigned segment, std::uint16_t selector); // MOV, POP, LDS...: checks by mode
    void far_jump(std::uint16_t selector, std::uint64_t offset, unsigned operand_bytes);
    void far_call(std::uint16_t selector, std::uint64_t offset, unsigned operand_bytes);
    void far_return(unsigned operand_bytes, std::uint16_t release);
    void interrupt_return(unsigned operand_bytes);
    enum class EventKind : std::uint8_t {
        external,
        nmi,
        exception,
        software,
        software_privileged /* INT1 */
    };
    // Delivers an event through the IDT (or the real-mode table); nested faults become #DF and shutdown.
    void deliver(std::uint8_t vector, EventKind kind, std::uint32_t error_code = 0);
    void near_branch(std::uint64_t target, unsigned operand_bytes); // limit and canonical checks, then RIP
    void task_switch(std::uint16_t selector, bool nested, bool from_iret,
                     std::optional<std::uint32_t> error_code);
    [[nodiscard]] bool io_permitted(std::uint16_t port, unsigned size);

    // ---- time ----
    [[nodiscard]] std::uint64_t tsc() const; // with offset and adjust

    // ---- the run loop's ----
    Exit run();
    // As run(), with `pending` for the signals that wait, and only until the first occasion to look at them:
    // for whoever decides when events come; `briefly`: until the first that there could be.
    std::optional<Exit> run_stretch(std::uint32_t pending, bool briefly = false);
    // As RESET# or INIT# leaves the processor. SDM volume 3 section 9.1.1.
    void reset();
    void init();

    [[nodiscard]] x86::State state() const;
    void set_state(const x86::State& state);
    void set_debug(const DebugControl& control);

    [[nodiscard]] const DebugEvent& debug_event() const { return debug_event_; }

    // The current block must not be continued: translations, modes or code changed.
    void end_block() { block_ended_ = true; }

    [[nodiscard]] bool block_ended() const { return block_ended_; }

    // Nothing has ended the block that starts now.
    void begin_block() { block_ended_ = false; }

    // For instructions that repeat: whether events wait, and whether each iteration counts as an instruction.
    [[nodiscard]] bool interrupted() const {
        return block_ended_ || (signals_.pending() & wanted_signals_) != 0 || stepping_;
    }

    [[nodiscard]] bool steps() const { return stepping_; }

    // The repeated instruction goes on when the event has been dealt with. It counts when it is done: where
    // it is interrupted is a matter of how it is executed.
    void leave_repetition(const Insn& insn) {
        rip() -= insn.length;
        retired_ -= stepping_ ? 0 : 1;
        end_block();
    }

    // Before an access to a port: breakpoints may be on it.
    void note_port(std::uint16_t port, unsigned size);

    // An event's delivery ends what was to follow the instruction.
    void event_delivered() { event_delivered_ = true; }

    [[nodiscard]] Signals& signals() { return signals_; }

    [[nodiscard]] std::uint64_t retired() const { return retired_; }

    [[nodiscard]] Shared& shared() { return shared_; }

    // Around calls to devices.
    void leave_for_device();
    void return_from_device();
    void leave_memory();
    void return_to_memory();

    // From now on blocks are run by `accelerator` where it can; it outlives the processor's last run().
    void set_accelerator(BlockAccelerator* accelerator) {
        accelerator_ = accelerator;
        blocks_.set_accelerator(accelerator);
    }

private:
    class AtWork; // run.cpp

    // The translator runs this processor's blocks as host code, which reads and writes its registers, its TLB
    // and its signals in place.
    friend class translator::Translator;
    friend struct translator::StateLayout;

    // Segment arithmetic (segment_access.cpp).
    [[nodiscard]] std::uint64_t segment_base(unsigned segment) const {
        return code64_ && segment < x86::fs ? 0 : system.segments[segment].base;
    }

    [[nodiscard]] std::uint64_t linear_slow(unsigned segment, std::uint64_t offset, unsigned size,
                                            Access access);

    // Memory by linear address when the TLB misses (mmu.cpp). `segment` decides between #GP and #SS.
    // With what rights memory is accessed: which TLB set. Outside SMAP's reach are explicit accesses with AC
    // set.
    using Rights = DataView;

    struct Translation {
        memory::GuestPhysical physical;
        std::byte* host; // null if it is no RAM
        bool writable_ram;
    };

    [[nodiscard]] Rights rights() const;

    [[nodiscard]] Rights rights(bool implicit_supervisor) const {
        return implicit_supervisor ? Rights::supervisor : rights();
    }

    // Whether the entry does for the access.
    [[nodiscard]] bool translated(const TlbEntry& entry, std::uint64_t linear, Access access) const;
    [[nodiscard]] Translation translate_data(std::uint64_t linear, Access access, Rights rights);
    [[nodiscard]] bool alignment_checked() const;
    void check_access(std::uint64_t linear, unsigned size, Access access, unsigned segment, Rights rights);
    void read_slow(std::uint64_t linear, void* to, unsigned size, unsigned segment, Rights rights);
    void write_slow(std::uint64_t linear, const void* from, unsigned size, unsigned segment, Rights rights);
    void read_physical(const Translation& from, void* to, unsigned size);
    void write_physical(const Translation& to, const void* from, unsigned size);
    void ram_written(memory::GuestPhysical address, unsigned size);
    [[nodiscard]] WalkAccess walk_access(Access access, Rights rights) const;
    // Walks the page tables and gives the TLB what they say.
    [[nodiscard]] Translation fill(std::uint64_t linear, Access access, Rights rights);
    // The same before there is an access, which changes nothing that the guest sees: false for a page that
    // was not accessed yet or must not be read.
    bool fill_ahead(std::uint64_t linear, Rights rights);
    Translation enter(std::uint64_t linear, const Mapping& mapping, Access access, Rights rights);
    // Translates, with the rights to execute.
    [[nodiscard]] const FetchEntry& fetch_page(std::uint64_t linear);
    [[nodiscard]] std::expected<const FetchEntry*, Fault> try_fetch_page(std::uint64_t linear);
    // Sets CR2.
    [[nodiscard]] Fault page_fault_at(std::uint64_t linear, std::uint32_t error_code);

    // Narrow code may run over the end of its 4 GiB: what RIP then has beyond 32 bits goes where it would
    // show.
    void wrap_rip() {
        if (!code64_) {
            rip() = static_cast<std::uint32_t>(rip());
        }
    }

    [[nodiscard]] std::uint64_t next_page(std::uint64_t linear) const;
    void select_tlb(); // which set data_tlb_ is, by code_mode_.data
    // The host address of a locked operand in one page of RAM, or null; faults as a write would.
    [[nodiscard]] std::byte* locked_host(std::uint64_t linear, unsigned size, unsigned segment);
    void locked_written(std::uint64_t linear, unsigned size);

    template <class T, class Change>
    T modify_at(std::uint64_t linear, unsigned segment, bool locked, Change change);
    template <class T, class Change>
    T modify_slow(std::uint64_t linear, unsigned segment, Change change);
    void probe(std::uint64_t linear, unsigned size, Access access, unsigned segment, Rights rights);

    // ---- blocks (fetch.cpp) ----
    [[nodiscard]] Block& find_block();
    [[nodiscard]] Block* build_block(std::uint64_t linear, const FetchEntry& page);
    [[nodiscard]] Block* build_crossing_block(std::uint64_t linear, const FetchEntry& first);
    [[nodiscard]] Block* fresh_instruction(std::uint64_t linear, const FetchEntry& page);
    [[nodiscard]] bool still_in_memory(Block& block, const FetchEntry& page, std::uint64_t offset,
                                       std::span<const std::uint8_t> bytes);

    [[nodiscard]] std::uint64_t code_linear() const {
        const std::uint64_t linear = segment_base(x86::cs) + rip();
        return code64_ ? linear : static_cast<std::uint32_t>(linear);
    }

    void mark_code(memory::GuestPhysical page, std::uint64_t granules);
    void take_code_notices();
    [[nodiscard]] std::uint64_t code_bytes_left() const; // within CS's limit
    void read_code(const FetchEntry& page, std::uint64_t offset, std::span<std::uint8_t> to);

    // ---- the loop (run.cpp) ----
    void run_blocks();
    void run_counted_blocks();
    void meet_deadline();

    // Whether time is to be looked at before the next instruction.
    [[nodiscard]] bool due() const { return config_.time != nullptr && retired_ >= deadline_; }

    [[nodiscard]] bool accelerates() const;
    [[nodiscard]] Block* follow(Block& block);

    [[nodiscard]] bool current(const Block& block) const {
        return block.generation == generation_ || block.generation == global_generation_;
    }

    [[nodiscard]] bool execute_one();
    [[nodiscard]] std::optional<Exit> step();
    void deliver_fault(const Fault& fault);
    std::optional<Exit> run_once(std::uint32_t pending, bool briefly = false);
    [[nodiscard]] std::optional<Exit> attend(std::uint32_t pending);
    void take_events(std::uint32_t pending);
    void take_interrupt(std::uint32_t pending);
    // Whether an interrupt, and nothing else, is to be taken now, by whoever sees it.
    [[nodiscard]] bool takes_interrupt() const;
    void take_startup();
    [[nodiscard]] bool attention() const;

    bool runs_freely_ = false; // events come when they come, not when the caller of run_stretch() says
    void look_at_controls();   // derives code_mode_, wanted_signals_, stepping_ and generation_
    void look_at_events();     // derives wanted_signals_

    // ---- breakpoints (debug.cpp) ----
    void look_at_breakpoints();
    [[nodiscard]] std::uint64_t guest_code_breakpoints(std::uint64_t linear, std::uint64_t size) const;
    [[nodiscard]] bool has_breakpoint(std::uint64_t linear, std::uint64_t size) const;
    void note_access(std::uint64_t linear, unsigned size, Access access);
    void raise_debug(std::uint64_t dr6_bits);

    TlbSet* data_tlb_ = nullptr; // the set for the current privilege; one that never hits when each access
                                 // must be looked at
    bool code64_ = false;
    bool block_ended_ = false;
    unsigned cpl_ = 0;
    // Offsets below this are accessible without further checks, for reading and writing; see linear().
    std::array<std::array<std::uint64_t, 2>, 6> accessible_end_{};
    Shared& shared_;
    VcpuConfig config_;
    GuardedBus bus_;
    Signals signals_;
    std::unique_ptr<CodeMailbox> mailbox_;
    std::unique_ptr<Decoder> decoder_;
    BlockCache blocks_;
    std::vector<Insn> draft_; // of the block being built
    RewrittenCode rewritten_;
    Block fresh_block_{}; // of rewritten code: one instruction
    Insn fresh_insn_{};
    BlockAccelerator* accelerator_ = nullptr;
    CodeMode code_mode_{};
    // Of instruction translations, those of global pages and the others; see Block. No two are ever alike.
    std::uint64_t generation_ = 1, global_generation_ = 2, last_generation_ = 2;
    ExecutedPages executed_pages_{};
    std::uint32_t code_limit_ = 0; // CS's, when the generations last took it into account
    std::uint32_t wanted_signals_ = ~0U;
    bool stepping_ = false;        // each instruction is looked at
    bool step_next_ = false;       // the next one is
    bool event_delivered_ = false; // by the instruction itself
    bool code_breakpoints_ = false, watching_ = false;
    std::uint64_t debug_hits_ = 0; // of DR0 to DR3, as bits of DR6
    std::optional<DebugEvent> watch_hit_{};
    DebugControl debug_{};
    DebugEvent debug_event_{};
    std::uint64_t retired_at_entry_ = 0; // of run()
    Tlb tlb_;
    SavedSpaces spaces_;
    std::uint64_t retired_ = 0;
    std::uint64_t deadline_ = 0; // in instructions: then time is looked at (VcpuConfig::time)

    // The bits on which translations depend: when one changes, the TLB is flushed.
    struct PagingControls {
        std::uint64_t cr0 = 0, cr4 = 0, efer = 0;
        bool operator==(const PagingControls&) const = default;
    };

    static constexpr std::uint64_t paging_cr4_bits =
        x86::cr4::pse | x86::cr4::pae | x86::cr4::pge | x86::cr4::pcide | x86::cr4::smep | x86::cr4::smap;
    PagingControls paging_controls_{};
};

} // namespace strata::cpu::interpreter

#include "cpu/interpreter/cpu_inline.hpp" // IWYU pragma: export
