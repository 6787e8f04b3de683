#include "cpu/translator/layout.hpp"

namespace strata::cpu::translator {

namespace {

int distance(const void* from, const void* to) {
    return static_cast<int>(static_cast<const std::byte*>(to) - static_cast<const std::byte*>(from));
}

} // namespace

StateLayout::StateLayout(Frame& frame) {
    interpreter::Cpu& cpu = frame.cpu;
    const NativeState& native = frame.native;
    const auto at = [&](const auto& member) { return distance(&cpu, &member); };
    regs = at(cpu.regs);
    rip = at(cpu.regs[interpreter::rip_slot]);
    vectors = at(cpu.fp.ymm);
    segment_bases = at(cpu.system.segments[0].base);
    selectors = at(cpu.system.segments[0].selector);
    cr0 = at(cpu.system.cr0);
    cr2 = at(cpu.system.cr2);
    cr3 = at(cpu.system.cr3);
    cr4 = at(cpu.system.cr4);
    pending_signals = at(cpu.signals_.word());
    wanted_signals = at(cpu.wanted_signals_);
    other_flags = at(cpu.other_flags);
    kernel_gs_base = at(cpu.system.kernel_gs_base);
    data_view = at(cpu.code_mode_.data);
    data_tlb = at(cpu.data_tlb_);
    for (unsigned view = 0; view < data_sets.size(); ++view) {
        data_sets[view] = &cpu.tlb_.data(view);
    }
    interpreter::TlbSet& first = cpu.tlb_.data(0);
    tlb = at(first);
    tlb_arrays = {.read_tags = distance(&first, &first.read_tags),
                  .write_tags = distance(&first, &first.write_tags),
                  .addends = distance(&first, &first.addends),
                  .physicals = distance(&first, &first.physicals)};
    host_rsp = at(native.host_rsp);
    entry = at(native.entry);
    resume = at(native.resume);
    exit_link = at(native.exit_link);
    target = at(native.target);
    operand = at(native.operand);
    index_mask = at(native.index_mask);
    page_mask = at(native.page_mask);
    jump_mask = at(native.jump_mask);
    all_but_if = at(native.all_but_if);
    all_but_df = at(native.all_but_df);
    all_but_interrupt = at(native.all_but_interrupt);
    arithmetic_flags = at(native.arithmetic_flags);
    upper_half = at(native.upper_half);
    bit_masks = at(native.bit_numbers);
    limited = {at(native.limited[0]), at(native.limited[1])};
    vectors_in_memory = at(native.vectors_in_memory);
    vectors_unusable = at(native.vectors_unusable);
    bases_unusable = at(native.bases_unusable);
    time_stamp_refused = at(native.time_stamp_refused);
    tsc_aux = at(cpu.system.tsc_aux);
    flags = at(native.flags);
    borrowed = at(native.borrowed);
    minus_one = at(native.minus_one);
    minus_two = at(native.minus_two);
    cpl = at(cpu.cpl_);
    user_mode = at(cpu.code_mode_.user);
    code_segment = at(cpu.system.segments[x86::cs]);
    lstar = at(cpu.system.lstar);
    fast_calls = at(native.system_calls.calls);
    fast_returns = at(native.system_calls.returns);
    fast_kept_flags = at(native.system_calls.kept_flags);
    fast_supervisor = at(native.system_calls.supervisor);
    fast_user = at(native.system_calls.user);
    fast_other_flags = at(native.system_calls.other_flags);
    fast_upper_half = at(native.system_calls.upper_half);
    known_returns = at(native.interrupt_returns.known);
    wide_jumps = at(native.interrupt_returns.wide);
    nmi_blocked = at(cpu.nmi_blocked);
    gdtr = at(cpu.system.gdtr);
    x87_place = at(native.x87.place);
    x87_unusable = at(native.x87.unusable);
    x87_last = at(native.x87.last);
    x87_operand = at(native.x87.operand);
    x87_operand_segment = at(native.x87.operand_segment);
    x87_image = at(native.x87.image);
    x87_exception_masks = at(native.x87.exception_masks);
    x87_control_mask = at(native.x87.control_mask);
    x87_control_words = at(native.x87.control_words);
    if (cpu.config().time != nullptr) {
        remaining = at(native.remaining);
    }
    missed = at(native.missed);
    missed_at = at(native.missed_at);
    scratch = {at(native.scratch[0]), at(native.scratch[1])};
    kept = at(native.kept);
    end = at(frame) + static_cast<int>(sizeof(Frame));
    for (unsigned i = 0; i < pointers.size(); ++i) {
        pointers[i] = at(native.pointers[i]);
    }
    regions = at(native.regions.regions);
    fills = at(native.regions.fills);
    filled = at(native.regions.filled);
    filled_end = at(native.regions.filled_end);
    list_bits = at(native.regions.list_bits);
    both_lists = at(native.regions.both_lists);
    sign = at(native.regions.sign);
    for (unsigned user = 0; user < 2; ++user) {
        fetch_ids[user] = at(cpu.tlb_.fetch_ids(user != 0));
    }
    for (unsigned view = 0; view < native.jumps.size(); ++view) {
        jump_tags[view] = at(native.jumps[view].tags);
        jump_targets[view] = at(native.jumps[view].targets);
    }
}

} // namespace strata::cpu::translator
