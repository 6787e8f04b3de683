#include "container/store/state.hpp"

#include "base/atomic_file.hpp"
#include "base/file.hpp"
#include "container/kernel/procfs.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

namespace strata::container {
namespace {

constexpr std::uint64_t largest_state = 4 << 20;

Result<void> write_whole(const std::string& path, const std::string& text) {
    // Not flushed: the directory is on a tmpfs, and a crash of the machine ends the containers too.
    const std::string aside = path + ".new";
    const FileDescriptor file(::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!file) {
        return fail_errno("write", aside);
    }
    if (auto written = write_all(file.get(), text, aside); !written) {
        return written;
    }
    if (::rename(aside.c_str(), path.c_str()) != 0) {
        return fail_errno("write", path);
    }
    return {};
}

Json namespaces_document(const State& state) {
    Json list = Json::array();
    for (const auto& [flag, name] : state.namespaces) {
        list.push_back({{"flag", flag}, {"type", name}});
    }
    return list;
}

Json unit_document(const State& state) {
    return state.unit
               ? Json{{"name", state.unit->name}, {"slice", state.unit->slice}, {"user", state.unit->user}}
               : Json();
}

Json rdt_document(const State& state) {
    return state.rdt ? Json{{"directory", state.rdt->directory},
                            {"monitor", state.rdt->monitor},
                            {"own", state.rdt->own}}
                     : Json();
}

void read_placement(const JsonNode& root, State& state) {
    if (const auto unit = root.find("unit")) {
        state.unit =
            SystemdUnit{unit.at("name").string(), unit.at("slice").string(), unit.at("user").boolean()};
    }
    if (const auto rdt = root.find("intelRdt")) {
        state.rdt =
            RdtGroup{rdt.at("directory").string(), rdt.at("monitor").string(), rdt.at("own").boolean()};
    }
}

} // namespace

std::string_view status_name(Status status) {
    switch (status) {
    case Status::creating: return "creating";
    case Status::created: return "created";
    case Status::running: return "running";
    case Status::paused: return "paused";
    case Status::stopped: break;
    }
    return "stopped";
}

Result<void> check_id(const std::string& id) {
    const auto allowed = [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || std::string_view("_+-.").contains(c);
    };
    if (id.empty() || id == "." || id == ".." || id.size() > 255 || !std::ranges::all_of(id, allowed)) {
        return fail("'" + id + "' is not a container ID", "use letters, digits and _ + - . (at most 255)");
    }
    return {};
}

Result<void> StateStore::reserve(const std::string& id) const {
    if (::mkdir(directory(id).c_str(), 0711) == 0) {
        return {};
    }
    if (errno == ENOENT) {
        if (auto made = make_directories(root_, 0700); !made) {
            return made;
        }
        if (::mkdir(directory(id).c_str(), 0711) == 0) {
            return {};
        }
    }
    if (errno == EEXIST) {
        return fail("container " + id + " exists already", "delete it first, or take another ID");
    }
    return fail_errno("make", directory(id));
}

Result<void> StateStore::save(const State& state) const {
    const Json document{{"id", state.id},
                        {"ociVersion", state.version},
                        {"bundle", state.bundle},
                        {"rootfs", state.rootfs},
                        {"pid", state.pid},
                        {"startTime", state.start_time},
                        {"created", state.created},
                        {"annotations", state.annotations},
                        {"cgroupPaths", state.cgroup_paths},
                        {"unit", unit_document(state)},
                        {"intelRdt", rdt_document(state)},
                        {"namespaces", namespaces_document(state)},
                        {"owner", state.owner}};
    return write_whole(directory(state.id) + "/state.json", dump(document));
}

Result<State> StateStore::load(const std::string& id) const {
    if (auto checked = check_id(id); !checked) {
        return std::unexpected(checked.error());
    }
    const auto bytes = read_file(directory(id) + "/state.json", "state", largest_state);
    if (!bytes) {
        return std::unexpected(
            Error{"container " + id + " does not exist", "list shows the containers that do", ENOENT});
    }
    JsonReader reader("state of container " + id);
    const auto root = reader.parse({reinterpret_cast<const char*>(bytes->data()), bytes->size()});
    State state{.id = root.at("id").string(),
                .version = root.at("ociVersion").string(),
                .bundle = root.at("bundle").string(),
                .rootfs = root.at("rootfs").string(),
                .pid = static_cast<pid_t>(root.at("pid").integer()),
                .start_time = root.at("startTime").number(),
                .created = root.at("created").string(),
                .annotations = root.find("annotations").string_map(),
                .cgroup_paths = root.find("cgroupPaths").string_map(),
                .unit = {},
                .rdt = {},
                .namespaces = {},
                .owner = static_cast<std::uint32_t>(root.find("owner").number())};
    for (const auto& item : root.find("namespaces").items()) {
        state.namespaces.emplace_back(static_cast<int>(item.at("flag").integer()), item.at("type").string());
    }
    read_placement(root, state);
    if (reader.error()) {
        return std::unexpected(*reader.error());
    }
    return state;
}

bool StateStore::exists(const std::string& id) const { return ::access(directory(id).c_str(), F_OK) == 0; }

Result<void> StateStore::remove(const std::string& id) const {
    const std::string path = directory(id);
    // The state goes last: until then the container can be found and deleted again.
    for (const char* name :
         {"start.fifo", "config.json", "config.json.new", "state.json.new", "state.json"}) {
        ::unlink((path + "/" + name).c_str());
    }
    if (::rmdir(path.c_str()) != 0 && errno != ENOENT) {
        return fail_errno("remove", path);
    }
    return {};
}

std::vector<std::string> StateStore::list() const {
    std::vector<std::string> ids;
    const std::unique_ptr<DIR, int (*)(DIR*)> entries(::opendir(root_.c_str()), &::closedir);
    while (const dirent* entry = entries ? ::readdir(entries.get()) : nullptr) {
        const std::string name = entry->d_name;
        if (check_id(name) && ::access((directory(name) + "/state.json").c_str(), F_OK) == 0) {
            ids.push_back(name);
        }
    }
    std::ranges::sort(ids);
    return ids;
}

Json state_document(const State& state, Status status) {
    Json document{{"ociVersion", state.version},
                  {"id", state.id},
                  {"status", status_name(status)},
                  {"bundle", state.bundle}};
    if (status != Status::stopped) {
        document["pid"] = state.pid;
    }
    if (!state.annotations.empty()) {
        document["annotations"] = state.annotations;
    }
    return document;
}

std::optional<std::uint64_t> process_start_time(pid_t pid) {
    const auto text = read_text_at(AT_FDCWD, "/proc/" + std::to_string(pid) + "/stat");
    // "pid (name) S ..."; the name may hold anything, so count from its end. The start time is field 22.
    const auto paren = text ? text->rfind(')') : std::string::npos;
    if (paren == std::string::npos || paren + 2 >= text->size() ||
        std::string_view("ZXx").contains((*text)[paren + 2])) {
        return std::nullopt;
    }
    std::size_t at = paren + 2;
    for (int field = 3; field < 22; ++field) {
        at = text->find(' ', at) + 1;
    }
    std::uint64_t ticks = 0;
    std::from_chars(text->data() + at, text->data() + text->size(), ticks);
    return ticks;
}

std::string current_time() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    tm parts{};
    ::gmtime_r(&now.tv_sec, &parts);
    char text[64], whole[96];
    ::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    std::snprintf(whole, sizeof whole, "%s.%09ldZ", text, now.tv_nsec);
    return whole;
}

} // namespace strata::container
