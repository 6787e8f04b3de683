#include "cpu/translator/trace_file.hpp"

#include <algorithm>
#include <cstring>
#include <elf.h>
#include <link.h>
#include <nettle/sha2.h>
#include <string_view>
#include <type_traits>

namespace strata::cpu::translator {

namespace {

constexpr std::string_view magic = "strata traces\n\x1A\n";
constexpr std::uint32_t version = 2; // of the header, CompiledTrace and ages; a build has its own of all else

struct FileHeader {
    std::array<char, 16> magic;
    std::uint32_t version;
    std::uint32_t content; // bytes behind the header
    BuildIdentity build;
    std::array<std::uint8_t, SHA256_DIGEST_SIZE> digest; // of the header with zeros here, and the content
    std::array<std::uint8_t, 8> unused;
};

static_assert(sizeof(FileHeader) == bytes_of_trace_file_header &&
              std::has_unique_object_representations_v<FileHeader>);

FileHeader make_header(const BuildIdentity& build, std::span<const std::byte> content) {
    FileHeader header{.magic = {},
                      .version = version,
                      .content = static_cast<std::uint32_t>(content.size()),
                      .build = build,
                      .digest = {},
                      .unused = {}};
    std::ranges::copy(magic, header.magic.begin());
    sha256_ctx hash;
    sha256_init(&hash);
    sha256_update(&hash, sizeof header, reinterpret_cast<const std::uint8_t*>(&header));
    sha256_update(&hash, content.size(), reinterpret_cast<const std::uint8_t*>(content.data()));
    sha256_digest(&hash, header.digest.size(), header.digest.data());
    return header;
}

// The build ID among the notes of a segment.
std::optional<BuildIdentity> find_build_id(std::span<const std::byte> notes) {
    while (notes.size() >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) note;
        std::memcpy(&note, notes.data(), sizeof note);
        const std::size_t name = sizeof note, value = name + (note.n_namesz + std::size_t{3}) / 4 * 4;
        const std::size_t end = value + (note.n_descsz + std::size_t{3}) / 4 * 4;
        if (end > notes.size()) {
            break;
        }
        BuildIdentity build{};
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof ELF_NOTE_GNU &&
            std::memcmp(notes.data() + name, ELF_NOTE_GNU, sizeof ELF_NOTE_GNU) == 0 &&
            note.n_descsz <= build.size()) {
            std::memcpy(build.data(), notes.data() + value, note.n_descsz);
            return build;
        }
        notes = notes.subspan(end);
    }
    return std::nullopt;
}

// The program itself is the first of the objects that are loaded.
int look_at_program(dl_phdr_info* info, std::size_t, void* found) {
    for (const ElfW(Phdr) & segment : std::span(info->dlpi_phdr, info->dlpi_phnum)) {
        if (segment.p_type != PT_NOTE) {
            continue;
        }
        const auto* notes = reinterpret_cast<const std::byte*>(info->dlpi_addr + segment.p_vaddr);
        if (const auto build = find_build_id({notes, segment.p_memsz})) {
            *static_cast<std::optional<BuildIdentity>*>(found) = build;
            break;
        }
    }
    return 1;
}

} // namespace

std::optional<BuildIdentity> build_identity() {
    std::optional<BuildIdentity> build;
    dl_iterate_phdr(look_at_program, &build);
    return build;
}

std::vector<std::byte> write_trace_file(const BuildIdentity& build,
                                        std::span<const TraceStore::Kept> traces) {
    std::vector<std::byte> file(sizeof(FileHeader));
    for (const auto& [trace, age] : traces) {
        file.insert(file.end(), trace->bytes().begin(), trace->bytes().end());
        const auto* number = reinterpret_cast<const std::byte*>(&age);
        file.insert(file.end(), number, number + sizeof age);
    }
    const FileHeader header = make_header(build, std::span(file).subspan(sizeof(FileHeader)));
    std::memcpy(file.data(), &header, sizeof header);
    return file;
}

bool is_trace_file(std::span<const std::byte> file) {
    return file.size() >= magic.size() && std::memcmp(file.data(), magic.data(), magic.size()) == 0;
}

Result<std::vector<TraceStore::Kept>> read_trace_file(const BuildIdentity& build,
                                                      std::span<const std::byte> file) {
    FileHeader header;
    if (!is_trace_file(file) || file.size() < sizeof header) {
        return fail("is damaged");
    }
    std::memcpy(&header, file.data(), sizeof header);
    if (header.version != version || header.build != build) {
        return fail("is of another build of strata");
    }
    const auto content = file.subspan(sizeof header);
    const FileHeader expected = make_header(build, content);
    if (std::memcmp(&header, &expected, sizeof header) != 0) {
        return fail("is damaged");
    }
    auto traces = read_traces(content);
    if (!traces) {
        return fail("is damaged");
    }
    return std::move(*traces);
}

std::optional<std::vector<TraceStore::Kept>> read_traces(std::span<const std::byte> content) {
    std::vector<TraceStore::Kept> traces;
    while (!content.empty()) {
        CompiledTrace::Header header;
        std::uint32_t age = 0;
        if (content.size() < sizeof header) {
            return std::nullopt;
        }
        std::memcpy(&header, content.data(), sizeof header);
        if (header.size > content.size() || content.size() - header.size < sizeof age) {
            return std::nullopt;
        }
        auto trace = CompiledTrace::parse(content.first(header.size));
        std::memcpy(&age, content.data() + header.size, sizeof age);
        if (!trace || age >= TraceStore::end_of_life) {
            return std::nullopt;
        }
        traces.push_back({std::make_shared<const CompiledTrace>(std::move(*trace)), age});
        content = content.subspan(header.size + sizeof age);
    }
    return traces;
}

} // namespace strata::cpu::translator
