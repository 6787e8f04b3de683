// The file in which a machine keeps what is translated of its guest's code.
#include "vm/vm.hpp"

namespace strata::vm {

Result<void> Vm::open_translations() {
    if (config_.translation_cache.empty()) {
        return {};
    }
    auto cache = cpu::TranslationCache::open(config_.translation_cache);
    if (!cache) {
        return std::unexpected(cache.error());
    }
    translations_ = std::move(*cache);
    if (!translations_->passed_over().empty()) {
        announcements_.push_back(translations_->passed_over());
    }
    return {};
}

// That it failed is not the end's reason.
void Vm::save_translations() {
    if (!translations_) {
        return;
    }
    if (const auto saved = translations_->save(); !saved && result_.message.empty()) {
        result_.message = saved.error().message;
    }
}

} // namespace strata::vm
