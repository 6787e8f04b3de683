#include "cpu/interpreter/shared.hpp"

#include <algorithm>

namespace strata::cpu::interpreter {

void CodeMailbox::post(const CodeNotice& notice) {
    constexpr std::size_t most = 1024; // beyond, it is cheaper to decode all again
    {
        const std::lock_guard lock(mutex_);
        if (notices_.size() >= most) {
            notices_.assign(1, {CodeNotice::everywhere, 0});
        } else {
            notices_.push_back(notice);
        }
        const std::uint64_t posted = posted_.fetch_add(1) + 1;
        if (notice.written == 0) {
            announced_.store(posted);
        }
    }
    signals_.set(Signals::engine);
}

Shared::Shared(memory::GuestMemory& memory, const Clock& clock)
    : memory_(memory), clock_(clock), code_(memory.size() >> memory::page_shift) {
    memory_.set_code_observer(this);
}

Shared::~Shared() { memory_.set_code_observer(nullptr); }

// Under the lock: who finds the page marked finds it announced, too. So when others_settled() holds for a
// processor that came second, nobody writes directly to the page any more, though the first may still wait.
//
// A processor may have found no mark before it was set here, and remember after that the page may be written
// directly; but what is posted here it then has not taken, and taking it makes it forget.
bool Shared::mark_code(memory::GuestPhysical page, std::uint64_t granules, const CodeMailbox& self) {
    const std::lock_guard lock(marking_);
    memory_.set_code(page, true);
    if (code_[memory_.page_index(page)].fetch_or(granules) != 0) {
        return false;
    }
    for (CodeMailbox* mailbox : mailboxes_) {
        if (mailbox != &self) {
            mailbox->post({page, 0});
        }
    }
    return true;
}

bool Shared::others_settled(const CodeMailbox& self) const {
    return std::ranges::all_of(
        mailboxes_, [&](const CodeMailbox* mailbox) { return mailbox == &self || mailbox->settled(); });
}

// The bytes are in memory already, before GuestMemory::written()'s fence. A processor that decodes marks
// first and reads then, this clears first and tells then: so whoever decoded the old bytes is told, and
// whoever marks later reads the new ones.
void Shared::code_written(memory::GuestPhysical address, std::uint64_t size) {
    auto& word = code_[memory_.page_index(address)];
    const std::uint64_t written = granule_mask(address, size);
    if ((word.load(std::memory_order_relaxed) & written) == 0) {
        return;
    }
    const std::uint64_t lost = word.fetch_and(~written) & written;
    if (lost == 0) {
        return;
    }
    for (CodeMailbox* mailbox : mailboxes_) {
        mailbox->post({address & ~(memory::page_size - 1), lost});
    }
}

} // namespace strata::cpu::interpreter
